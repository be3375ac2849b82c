"""What it is: configs, the encoder and its heads, weights and folders in Hugging Face's forms."""
