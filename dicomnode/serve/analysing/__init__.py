"""The analysis of a study: engines that are kept warm, plans, images decoded ahead."""
