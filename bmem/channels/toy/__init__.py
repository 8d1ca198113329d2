"""The linear-Gaussian toy: a channel whose likelihood is known in closed form."""
