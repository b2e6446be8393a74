"""How the app answers many visitors at once, measured with real WebSocket sessions that speak Streamlit's protocol."""
