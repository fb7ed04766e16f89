"""WeChat Pay v3 from its own side. Source: WeChat Pay's documents, and the official Go SDK's validators."""
