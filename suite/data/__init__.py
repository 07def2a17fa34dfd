"""The data sets known by name, as a user meets them: `python -m suite.data`.

Reading order: `state` (what is here), `listing` and `page` (tables), `actions` (prepare, verify), `transfers`
(progress of downloads), `hints` (what to do without internet), `audit` and `audit_tables` (what is in a data
set).
"""
