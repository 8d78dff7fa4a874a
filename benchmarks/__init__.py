"""Questions about accuracy, speed and memory, each answered by one command and one JSON file."""
