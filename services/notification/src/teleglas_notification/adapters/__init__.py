"""What stands between the domain and the outside."""
