"""The director: decides on the bar grid which scene is shown, its place, the camera and the palette."""
