"""The page that users see."""
