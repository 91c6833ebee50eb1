#include "server/node.h"
#include "server/router/router.h"
#include "server/routes.h"

#include <string.h>

/* The router aborts when two rows answer the same: better here than at a customer's. */
static void
test_tables_fit_together (void)
{
  static const CmAuthenticators nobody = { NULL, NULL };
  CmNode node = { 0 };
  g_autoptr (CmRouter) router = cm_router_new (&node, &nobody, cm_route_tables, cm_n_route_tables);
  g_assert_nonnull (router);
}

/* What needs no token is known to need none: a new row here is a decision, not an accident. */
static void
test_rows_are_whole (void)
{
  for (gsize i = 0; i < cm_n_route_tables; i++) {
    for (const CmRoute *route = cm_route_tables[i]; route->path; route++) {
      g_assert_nonnull (route->method);
      g_assert_nonnull (route->handler);
      g_assert_true (route->path[0] == '/');
      if (strstr (route->path, "/_matrix/federation/") &&
          !g_str_has_suffix (route->path, "/version"))
        g_assert_cmpint (route->auth, ==, CM_AUTH_FEDERATION);
      if (strstr (route->path, "/_synapse/admin/") && !g_str_has_suffix (route->path, "/register"))
        g_assert_cmpint (route->auth, ==, CM_AUTH_ADMIN);
    }
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/routes/tables-fit-together", test_tables_fit_together);
  g_test_add_func ("/routes/rows-are-whole", test_rows_are_whole);
  return g_test_run ();
}
