"""Streamlit components (v2), one folder each: Python, JavaScript and CSS, read and passed as text."""
