"""One run as it trains: the monitor, and its adapters to training frameworks."""
