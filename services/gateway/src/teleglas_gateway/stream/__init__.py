"""The stream server: reads topics, encodes each message once, and writes it to whoever wants it."""
