#include "console/cli.h"

int main(int argc, char **argv)
{
	return dif_cli_main(argc, argv);
}
