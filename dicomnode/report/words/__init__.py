"""What results say in words: conclusions, sentences, growth, units."""
