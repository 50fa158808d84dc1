"""Settings of the application."""

from config.config import Config, ConfigError

__all__ = ["Config", "ConfigError"]
