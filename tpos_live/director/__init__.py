"""From features to decisions on the bar grid: which scene, where it stands, how the camera moves."""
