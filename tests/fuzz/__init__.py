"""What reads foreign bytes, fed with bytes of all kinds."""
