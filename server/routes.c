#include "server/routes.h"

const CmRoute *const cm_route_tables[] = {
  cm_routes_key_backup,
  cm_routes_meta,
};

const gsize cm_n_route_tables = G_N_ELEMENTS (cm_route_tables);
