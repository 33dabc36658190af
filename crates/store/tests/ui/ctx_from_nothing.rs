//! Room `store`: a context comes from no default and is not read from a message.

use misy_core::Ctx;

fn default() -> Ctx {
    Ctx::default()
}

fn read(text: &str) -> Ctx {
    Ctx::deserialize(text)
}

fn change(ctx: &mut Ctx, other: &Ctx) {
    ctx.tenant = other.tenant();
}

fn main() {}
