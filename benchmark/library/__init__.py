"""What `import prunebench` offers: prune a network of one's own, run studies, read what is stored."""
