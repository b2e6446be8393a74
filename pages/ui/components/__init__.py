"""The app's Streamlit components (v2), one folder each; their JavaScript and CSS are passed to Streamlit as text."""
