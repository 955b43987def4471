"""What runs the UNet and the decoder: PyTorch, OpenVINO, CUDA graphs, compiled, TensorRT."""
