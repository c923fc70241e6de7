"""Base classes of methods: mask pruners, fixed masks, dynamic sparse training, controls."""
