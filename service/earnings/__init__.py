"""What a creator or a platform reads: amounts, the walk from pool to amount, estimates."""
