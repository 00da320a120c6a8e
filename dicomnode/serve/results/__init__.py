"""What leaves: reports made, sent, taken back; storage commitment."""
