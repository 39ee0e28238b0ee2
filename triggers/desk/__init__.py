"""The desks: which manager looks after which customer, within what each can carry.

Assigning needs a view of several managers at once, so that the key is a *pool*: a branch with its managers and their
customers. Managers are published under their own key; the manager stage tells the pools of them. Customers tell the
pool of their branch how they stand (``standing``), the pool tells them its steps, and each step is answered by a
standing: whatever is repeated or overtaken on the way, no customer has two managers and no manager too many customers.
"""
