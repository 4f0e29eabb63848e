"""The docks around the canvas. Each shows one part of the view state and reports intents by signals."""
