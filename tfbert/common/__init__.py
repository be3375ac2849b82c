"""What everyone needs: errors, files, settings, the terminal."""
