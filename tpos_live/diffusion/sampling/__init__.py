"""From noise to latents: samplers, guidance, regions, latent feedback."""
