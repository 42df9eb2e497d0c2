"""Between the domain and what lies outside."""
