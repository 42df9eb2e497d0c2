"""What people say to the Telegram bot, and what it answers."""
