"""Backends, which run the UNet and the decoder: PyTorch, OpenVINO, CUDA graphs, torch.compile, TensorRT."""
