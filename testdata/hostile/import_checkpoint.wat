;; attacks: admission.imports, with the meter's own: whoever calls it says how much fuel is left
;; with: nothing
;; gets: invalid_argument at=compile
;; says: sallyport:engine
;; with: modules=sallyport:engine
;; gets: invalid_argument|unimplemented at=compile
;; control: raw: calls sallyport:engine.checkpoint
(module
  (import "sallyport:engine" "checkpoint" (func $f (param i64 i64) (result i64)))
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (call $f (i64.const 0x7fffffffffffffff) (i64.const 0x7fffffffffffffff)))))
