/* tests/model/join.hpp: what runtime/scope/join.c calls and no model that includes it comes to. */
#ifndef MODEL_JOIN_HPP
#define MODEL_JOIN_HPP

/* There are no counted scopes here. */
struct sc_scope *sc_left_to_join(struct sc_scope *s)
{
	return sc_all_ended(s) ? NULL : s;
}
int sc_owns(struct sc_worker *, struct sc_scope *)
{
	return 0;
}
int sc_close_object(struct sc_worker *, struct sc_scope *)
{
	return 0;
}
int sc_object_enter(struct sc_scope *)
{
	return 0;
}
int sc_lineage_hold(void)
{
	return 0;
}
void sc_object_leave(struct sc_scope *) {}
void sc_lineage_drop(int) {}
void sc_end_use(struct sc_scope *) {}
int sc_object_hold(struct sc_scope *)
{
	return 1;
}
void sc_close_body(struct sc_scope *) {}
void sc_arch_switch_aside(struct sc_context *, struct sc_aside *, const struct sc_context *) {}
void sc_leaver_ended(struct sc_scope *, int) {}
void sc_failed(struct sc_scope *, int, uintptr_t, const void *, const char *) {}
void sc_failed_at(struct sc_scope *, int, uintptr_t, const void *, enum scope_site_kind,
		  const char *)
{
}
void sc_keep_error(struct sc_scope *, int) {}
void sc_drop_extra(struct sc_scope *) {}
int sc_joiner_spawn(struct sc_task *, unsigned)
{
	return 0;
}
int sc_winds_up(struct sc_scope *)
{
	return 0;
}
void sc_wind_up(struct sc_scope *) {}
void sc_skip_winding_up(void *) {}
void sc_drop_errors(struct sc_host *, uintptr_t) {}

#endif
