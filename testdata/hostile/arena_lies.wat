;; attacks: abi.arena, with one over the memory's first page, a different one each time, and then none
;; with: nothing
;; gets: answers 1735289200
;; after: answers 42
;; control: raw, arena: returns 0
;; control: raw: answers 1735289200
(module
  (memory (export "memory") 1)
  (global $calls (mut i32) (i32.const 0))
  (func (export "sallyport_v1_arena") (param i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (select (i32.const 0) (i32.const -1) (i32.eq (global.get $calls) (i32.const 1))))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.load32_u (i32.const 0)))))
