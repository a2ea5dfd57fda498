"""The plant's alarms as OPC UA conditions: types, fields, filters, event queues and methods (OPC 10000-9)."""
