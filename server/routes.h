/* Every table of routes there is: a line here and one in routes.c for each API file. */
#pragma once

#include "server/router/route.h"

G_BEGIN_DECLS

extern const CmRoute cm_routes_account[];
extern const CmRoute cm_routes_account_data[];
extern const CmRoute cm_routes_admin[];
extern const CmRoute cm_routes_admin_register[];
extern const CmRoute cm_routes_admin_users[];
extern const CmRoute cm_routes_context[];
extern const CmRoute cm_routes_create_room[];
extern const CmRoute cm_routes_cross_signing[];
extern const CmRoute cm_routes_devices[];
extern const CmRoute cm_routes_directory[];
extern const CmRoute cm_routes_federation_events[];
extern const CmRoute cm_routes_federation_invite[];
extern const CmRoute cm_routes_federation_join[];
extern const CmRoute cm_routes_federation_keys[];
extern const CmRoute cm_routes_federation_leave[];
extern const CmRoute cm_routes_federation_media[];
extern const CmRoute cm_routes_federation_query[];
extern const CmRoute cm_routes_federation_send[];
extern const CmRoute cm_routes_federation_state[];
extern const CmRoute cm_routes_filter[];
extern const CmRoute cm_routes_hierarchy[];
extern const CmRoute cm_routes_initial_sync[];
extern const CmRoute cm_routes_join[];
extern const CmRoute cm_routes_key_backup[];
extern const CmRoute cm_routes_key_backup_versions[];
extern const CmRoute cm_routes_key_changes[];
extern const CmRoute cm_routes_keys[];
extern const CmRoute cm_routes_login[];
extern const CmRoute cm_routes_media[];
extern const CmRoute cm_routes_members[];
extern const CmRoute cm_routes_membership[];
extern const CmRoute cm_routes_messages[];
extern const CmRoute cm_routes_meta[];
extern const CmRoute cm_routes_mutual_rooms[];
extern const CmRoute cm_routes_notifications[];
extern const CmRoute cm_routes_openid[];
extern const CmRoute cm_routes_presence[];
extern const CmRoute cm_routes_profile[];
extern const CmRoute cm_routes_public_rooms[];
extern const CmRoute cm_routes_push_rules[];
extern const CmRoute cm_routes_pushers[];
extern const CmRoute cm_routes_receipts[];
extern const CmRoute cm_routes_register[];
extern const CmRoute cm_routes_relations[];
extern const CmRoute cm_routes_report[];
extern const CmRoute cm_routes_room_state[];
extern const CmRoute cm_routes_search[];
extern const CmRoute cm_routes_send[];
extern const CmRoute cm_routes_sync[];
extern const CmRoute cm_routes_tags[];
extern const CmRoute cm_routes_third_party[];
extern const CmRoute cm_routes_to_device[];
extern const CmRoute cm_routes_typing[];
extern const CmRoute cm_routes_upgrade[];
extern const CmRoute cm_routes_user_directory[];
extern const CmRoute cm_routes_user_keys[];
extern const CmRoute cm_routes_voip[];

extern const CmRoute *const cm_route_tables[];
extern const gsize cm_n_route_tables;

G_END_DECLS
