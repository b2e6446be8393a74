"""Parquet files in the Hugging Face image layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdcore.datasets.parquet import read_parquet
from kdcore.errors import DatasetUnavailable


def test_a_damaged_parquet_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 but no more than that")
    with pytest.raises(DatasetUnavailable, match=r"train\.parquet could not be read"):
        read_parquet(tmp_path / "train.parquet", 64)
