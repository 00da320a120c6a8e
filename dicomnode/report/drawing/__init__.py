"""Pictures of findings over their images: panels, scenes, legends, colours, windows."""
