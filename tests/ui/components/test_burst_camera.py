"""The camera takes whatever a browser sends, and keeps only the pictures of one burst."""

from __future__ import annotations

import base64

from pages.ui.components.burst_camera import MOST_SHOTS, decode_shots


def url(data: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def test_the_pictures_of_a_burst_are_decoded_in_their_order() -> None:
    assert decode_shots([url(b"one"), url(b"two")]) == [b"one", b"two"]


def test_what_is_no_burst_is_left_out() -> None:
    wrong = [7, None, "https://example.org/a.jpg", "data:image/jpeg;base64,!!", url(bytes(400_000)), url(b"good")]
    assert decode_shots(wrong) == [b"good"]
    assert decode_shots("data:image/jpeg;base64,AAAA") == decode_shots(None) == []
    assert len(decode_shots([url(b"x")] * (MOST_SHOTS + 5))) == MOST_SHOTS
