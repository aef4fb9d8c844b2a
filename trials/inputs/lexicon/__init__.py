"""What is known of tokens as words: labels of each token, and the token that spells a word."""
