#include "server/routes.h"

/* One a line, so that branches merge. */
/* clang-format off */
const CmRoute *const cm_route_tables[] = {
  /* A line each, so that additions do not collide. */
  /* clang-format off */
  cm_routes_account,
  cm_routes_account_data,
  cm_routes_admin,
  cm_routes_admin_register,
  cm_routes_admin_users,
  cm_routes_context,
  cm_routes_create_room,
  cm_routes_cross_signing,
  cm_routes_devices,
  cm_routes_directory,
  cm_routes_federation_events,
  cm_routes_federation_invite,
  cm_routes_federation_join,
  cm_routes_federation_keys,
  cm_routes_federation_leave,
  cm_routes_federation_query,
  cm_routes_federation_send,
  cm_routes_federation_state,
  cm_routes_filter,
  cm_routes_hierarchy,
  cm_routes_join,
  cm_routes_key_backup,
  cm_routes_keys,
  cm_routes_login,
  cm_routes_media,
  cm_routes_members,
  cm_routes_membership,
  cm_routes_messages,
  cm_routes_meta,
  cm_routes_openid,
  cm_routes_presence,
  cm_routes_profile,
  cm_routes_public_rooms,
  cm_routes_push_rules,
  cm_routes_receipts,
  cm_routes_register,
  cm_routes_relations,
  cm_routes_report,
  cm_routes_room_state,
  cm_routes_search,
  cm_routes_send,
  cm_routes_sync,
  cm_routes_tags,
  cm_routes_to_device,
  cm_routes_typing,
  cm_routes_upgrade,
  cm_routes_user_directory,
  cm_routes_user_keys,
  /* clang-format on */
};
/* clang-format on */

const gsize cm_n_route_tables = G_N_ELEMENTS (cm_route_tables);
