"""How fast we are beside what people would use instead, measured in turn on the same machine."""
