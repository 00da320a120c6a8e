"""What results carry over from their images: patient, study, characters, equipment; whether images agree."""
