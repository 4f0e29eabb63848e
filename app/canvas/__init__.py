"""The 3D canvas: cameras, picking and visuals. ``renderer`` draws without Qt; ``scene_canvas`` puts it in a window."""
