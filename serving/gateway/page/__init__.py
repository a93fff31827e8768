"""The page for people at `/`: static files that ask the gateway's own routes."""
