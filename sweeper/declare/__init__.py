"""What should exist: sweep files, spaces, searches, validated before anything starts."""
