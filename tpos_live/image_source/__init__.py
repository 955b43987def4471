"""Sources of images for image-to-image: cameras, streams, clips, folders and stills."""
