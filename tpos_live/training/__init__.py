"""`tpos-live train`: Ember, the audio encoder and projections. The runtime never imports it."""
