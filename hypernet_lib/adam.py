"""Adam, which moves every variable of a learner."""

from __future__ import annotations

from hypernet_lib.quiet import tf


class Adam:
    """Adam (Kingma and Ba, arXiv 1412.6980), one fused kernel for each variable; its state starts afresh by `reset`."""

    beta1, beta2, epsilon = 0.9, 0.999, 1e-7

    def __init__(self, variables: list[tf.Variable]):
        self.steps = tf.Variable(0, dtype=tf.int64)
        self.moments = {v.ref(): [tf.Variable(tf.zeros_like(v)) for _ in "mv"] for v in variables}

    def reset(self) -> None:
        self.steps.assign(0)
        for moments in self.moments.values():
            for moment in moments:
                moment.assign(tf.zeros_like(moment))

    def apply(
        self, gradients: list[tf.Tensor], variables: list[tf.Variable], learning_rate: tf.Tensor | list[tf.Tensor]
    ) -> None:
        """Move each variable by one step of Adam, all at one rate or each at its own. Counts one step for all."""
        steps = tf.cast(self.steps.assign_add(1), tf.float32)
        rates = learning_rate if isinstance(learning_rate, list) else [learning_rate] * len(variables)
        for gradient, variable, rate in zip(gradients, variables, rates, strict=True):
            m, v = self.moments[variable.ref()]
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle, m=m.handle, v=v.handle, beta1_power=self.beta1**steps,
                beta2_power=self.beta2**steps, lr=rate, beta1=self.beta1, beta2=self.beta2,
                epsilon=self.epsilon, grad=tf.convert_to_tensor(gradient),
            )  # fmt: skip

    def changes(
        self, gradients: list[tf.Tensor], variables: list[tf.Variable], learning_rate: tf.Tensor
    ) -> list[tf.Tensor]:
        """By how much `apply` would move each variable; nothing moves, and no step is counted."""
        steps = tf.cast(self.steps + 1, tf.float32)
        rate = learning_rate * tf.sqrt(1 - self.beta2**steps) / (1 - self.beta1**steps)
        changes = []
        for gradient, variable in zip(gradients, variables, strict=True):
            m, v = self.moments[variable.ref()]
            m, v = m + (1 - self.beta1) * (gradient - m), v + (1 - self.beta2) * (gradient**2 - v)
            changes.append(-rate * m / (tf.sqrt(v) + self.epsilon))
        return changes
