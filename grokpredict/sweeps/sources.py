"""The papers that several families are from."""

POWER = "Power et al. 2022, arXiv 2201.02177"
LIU = "Liu et al. 2022, arXiv 2205.10343"
OMNIGROK = "Liu, Michaud, Tegmark 2023, arXiv 2210.01117"
NOTSAWO = "Notsawo et al. 2023, arXiv 2306.13253"
DOSHI = "Doshi et al. 2024, arXiv 2406.03495"
BOOLEAN = "Bhattamishra et al. 2022, arXiv 2211.12316"
